// Connections: what they may cost before there is a request, what becomes of bytes that are none, and of a client that leaves.
'use strict';
const http = require('node:http');
const { Problem, answerOf } = require('../problem.js');
const config = require('../config.js');

// request.client: { gone, left }, the latter to be called once if it leaves. One that is gone wants no answer, and one that closed its side may still read. So the query is cancelled at once in the
// first case, and after a while in the second.
function watch(req, res, request) {
    const { socket } = req, client = (request.client = { gone: false, left: undefined });
    let timer;
    const leave = () => { client.gone = true; client.left?.(); };
    const half = () => { timer ??= setTimeout(leave, config.cancelAfter); };
    if (socket.readableEnded) half(); else socket.once('end', half);
    res.once('close', () => {
        socket.off('end', half);
        clearTimeout(timer);
        if (!res.writableFinished) leave();
    });
}

// What the parser refuses never becomes a request. The connection is of no use afterwards.
const REFUSED = { HPE_HEADER_OVERFLOW: [431, 'headers_too_large'], HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'body_too_large'], ERR_HTTP_REQUEST_TIMEOUT: [408, 'request_timeout'] };
function refuse(error, socket) {
    if (!socket.writable || error.code === 'ECONNRESET') return socket.destroy();
    const [status, code] = REFUSED[error.code] ?? [400, 'bad_request'];
    const { headers, body } = answerOf(new Problem(status, code, code.replaceAll('_', ' ')));
    socket.end(`HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\nContent-Type: ${headers['Content-Type']}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`);
    setTimeout(() => socket.destroy(), 1000).unref();
}

function listen(serve) {
    const server = http.createServer({ connectionsCheckingInterval: Math.min(config.headersTimeout, 1000), requireHostHeader: true, insecureHTTPParser: false }, serve);
    Object.assign(server, { headersTimeout: config.headersTimeout, requestTimeout: config.requestTimeout, keepAliveTimeout: config.keepAlive, maxConnections: config.maxConnections,
        maxHeadersCount: 100, timeout: config.requestTimeout + config.headersTimeout, httpAllowHalfOpen: true });
    server.on('clientError', refuse);
    // The address is asked for while there is one. A connection that is reset has none, though what it sent can still be read: the last
    // word of X-Forwarded-For would then be the client's.
    server.on('connection', (socket) => { if (!socket.remoteAddress) socket.destroy(); });
    return new Promise((resolve, reject) => server.once('error', reject).listen({ port: config.port, host: config.host, backlog: 4096 }, () => resolve(server)));
}

module.exports = { listen, watch };
