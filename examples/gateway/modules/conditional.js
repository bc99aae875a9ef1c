// Conditional reads: the tag of what has no version, and 304 for who has it.
'use strict';
const crypto = require('node:crypto');

const weakTag = (bytes) => `W/"${crypto.createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;

function notModified(request, { status, headers }) {
    if (status !== 200 || !headers.etag || !['GET', 'HEAD'].includes(request.method)) return false;
    const tags = request.headers['if-none-match']?.split(',').map((t) => t.trim().replace(/^W\//, ''));
    return Boolean(tags?.includes('*') || tags?.includes(headers.etag.replace(/^W\//, '')));
}

module.exports = { weakTag, notModified };
