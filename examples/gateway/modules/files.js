// Static files: those that are there at the start, by their names. A path is looked up and never opened.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const crypto = require('node:crypto');
const config = require('../config.js');

const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml', '.png': 'image/png', '.json': 'application/json' };
const POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const files = new Map();
for (const entry of config.files ? fs.readdirSync(config.files, { withFileTypes: true }) : []) {
    const type = TYPES[path.extname(entry.name)];
    if (!entry.isFile() || !type) continue;
    const body = fs.readFileSync(path.join(config.files, entry.name)), etag = `"${crypto.createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
    const headers = { 'content-type': type, etag, 'cache-control': 'public, no-cache', 'content-security-policy': POLICY, 'referrer-policy': 'same-origin' };
    files.set(entry.name === 'index.html' ? '/' : `/${entry.name}`, { headers, body });
}

module.exports = { has: (name) => files.has(name), get: (name) => ({ status: 200, headers: { ...files.get(name).headers }, body: files.get(name).body }) };
