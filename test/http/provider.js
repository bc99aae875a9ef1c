// An identity provider for a test: node provider.js PORT. GET /keys is its JWKS. POST /sign {alg, kid, claims, header, key} answers with a
// token; "key" signs with the key of another kid, "public" with the public key as an HMAC's secret. POST /rotate makes other keys. After
// POST /hold, /keys is answered at POST /release.
'use strict';
const http = require('node:http');
const crypto = require('node:crypto');

const makers = {
    rsa: () => crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ec: () => crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    weak: () => crypto.generateKeyPairSync('rsa', { modulusLength: 1024 }),
    p384: () => crypto.generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    encryption: () => crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }),
};
let keys;
const rotate = () => { keys = Object.fromEntries(Object.entries(makers).map(([kid, make]) => [kid, make()])); };
rotate();

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
function sign({ alg, kid, claims, header = {}, key = kid }) {
    const data = `${part({ alg, typ: 'JWT', kid, ...header })}.${part(claims)}`;
    if (alg === 'HS256') return `${data}.${crypto.createHmac('sha256', keys[key].publicKey.export({ type: 'spki', format: 'pem' })).update(data).digest('base64url')}`;
    if (alg === 'none') return `${data}.`;
    const padding = alg.startsWith('PS') ? crypto.constants.RSA_PKCS1_PSS_PADDING : undefined;
    return `${data}.${crypto.sign(`sha${alg.slice(2)}`, Buffer.from(data), { key: keys[key].privateKey, dsaEncoding: 'ieee-p1363', padding }).toString('base64url')}`;
}

let fetched = 0, held, release = () => {};
http.createServer(async (req, res) => {
    let text = '';
    for await (const chunk of req) text += chunk;
    if (req.url === '/rotate') { rotate(); return res.end(); }
    if (req.url === '/hold') { held = new Promise((resolve) => { release = resolve; }); return res.end(); }
    if (req.url === '/release') { release(); return res.end(); }
    if (req.url === '/fetched') return res.end(String(fetched));
    if (req.url === '/sign') return res.end(sign(JSON.parse(text)));
    fetched++;
    await held;
    res.end(JSON.stringify({ keys: Object.entries(keys).map(([kid, { publicKey }]) => ({ ...publicKey.export({ format: 'jwk' }), kid, use: kid === 'encryption' ? 'enc' : 'sig' })) }));
}).listen(Number(process.argv[2]), '127.0.0.1');
