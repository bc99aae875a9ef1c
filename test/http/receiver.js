// A receiver of webhooks for a test: node receiver.js PORT. POST /hook/NAME is answered as PUT /behave/NAME {"status", "headers", "kind", "times"} says,
// that many times and then by 200; kinds are silent (no answer), garbage (no HTTP), endless (a body without an end). GET /received has what came.
'use strict';
const http = require('node:http');
const received = [], behaviours = new Map();

http.createServer(async (req, res) => {
    let text = '';
    for await (const chunk of req) text += chunk;
    const [, what, name] = req.url.split('/');
    if (what === 'behave') { behaviours.set(name, JSON.parse(text)); return res.end(); }
    if (what === 'received') return res.end(JSON.stringify(received));
    const behaviour = behaviours.get(name), times = behaviour?.times ?? Infinity;
    received.push({ name, method: req.method, at: Date.now() / 1000, id: req.headers['webhook-id'], timestamp: req.headers['webhook-timestamp'], signature: req.headers['webhook-signature'], body: text, host: req.headers.host });
    if (!behaviour || times <= 0) return res.end('thank you');
    behaviour.times = times - 1;
    if (behaviour.kind === 'silent') return undefined;
    if (behaviour.kind === 'garbage') return res.socket.end('HELLO\r\n\r\n');
    res.writeHead(behaviour.status ?? 200, behaviour.headers);
    if (behaviour.kind !== 'endless') return res.end();
    const more = setInterval(() => res.write('x'.repeat(65536)), 5);
    return res.on('close', () => clearInterval(more));
}).listen(Number(process.argv[2]), '127.0.0.1');
