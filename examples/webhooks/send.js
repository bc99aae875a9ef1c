// One attempt: a POST to a URL that somebody else chose, signed by Standard Webhooks (https://www.standardwebhooks.com).
'use strict';
const crypto = require('node:crypto');
const dns = require('node:dns').promises;
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const { isPublic } = require('./addresses.js');
const config = require('./config.js');

// Several signatures while a secret rotates: a receiver takes the message if one of them is right.
function sign(secrets, id, timestamp, body) {
    return secrets.map((secret) => `v1,${crypto.createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64')}`).join(' ');
}

class Refused extends Error {}

// The name is looked up once, all of its addresses are checked, and the connection goes to one of those: a name that leads elsewhere the
// next time (DNS rebinding) leads nowhere.
async function addressOf(url, lookup) {
    if (!['https:', 'http:'].includes(url.protocol) || url.username || url.password) throw new Refused('The URL is https://host/path.');
    if (!config.ports.includes(url.port || (url.protocol === 'https:' ? '443' : '80'))) throw new Refused('The port is not allowed.');
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const addresses = net.isIP(host) ? [host] : (await lookup(host, { all: true, verbatim: true })).map((a) => a.address);
    if (!addresses.length || !addresses.every(isPublic)) throw new Refused('The address is not a public one.');
    return addresses[0];
}

// Retry-After in seconds: a number of them, or a date.
function secondsOf(text) {
    if (/^\d{1,9}$/.test(text ?? '')) return Number(text);
    const at = text === undefined ? NaN : Date.parse(text);
    return Number.isNaN(at) ? undefined : Math.max(0, (at - Date.now()) / 1000);
}

// send({ url, message, payload, secrets }): { answer, error, retryAfter }. No redirect is followed, and of the answer only the status counts.
async function send({ url: text, message, payload, secrets }, lookup = dns.lookup) {
    const abort = AbortSignal.timeout(config.timeout);
    try {
        const url = new URL(text), address = await Promise.race([addressOf(url, lookup), new Promise((_, reject) => abort.addEventListener('abort', () => reject(abort.reason), { once: true }))]);
        const body = payload, timestamp = Math.floor(Date.now() / 1000);
        return await post(url, address, body, {
            'content-type': 'application/json', 'content-length': Buffer.byteLength(body), 'user-agent': 'taskapi-webhooks',
            'webhook-id': String(message), 'webhook-timestamp': String(timestamp), 'webhook-signature': sign(secrets, message, timestamp, body),
        }, abort);
    } catch (error) {
        return { error: error instanceof Refused ? error.message : error.name === 'TimeoutError' || error.code === 'ABORT_ERR' ? 'timeout' : error.code ?? error.message };
    }
}

function post(url, address, body, headers, signal) {
    return new Promise((resolve, reject) => {
        const { request } = url.protocol === 'https:' ? https : http, family = net.isIPv6(address) ? 6 : 4;
        const req = request(url, { method: 'POST', headers, signal, agent: false, maxHeaderSize: 16384,
            // what the socket asks is answered with the address that was checked; the certificate is the name's
            lookup: (name, options, done) => (options.all ? done(null, [{ address, family }]) : done(null, address, family)) }, (res) => {
            const answer = { answer: res.statusCode, error: res.statusCode < 300 ? undefined : `status ${res.statusCode}`, retryAfter: secondsOf(res.headers['retry-after']) };
            let size = 0;
            res.on('data', (part) => {
                if ((size += part.length) > config.maxAnswer) { resolve(answer); req.destroy(); }
            });
            // an answer that is cut off has a status all the same
            res.once('end', () => resolve(answer)).once('close', () => resolve(answer)).once('error', () => resolve(answer));
        });
        req.once('error', reject);
        req.end(body);
    });
}

module.exports = { send, sign };
