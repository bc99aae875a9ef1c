// The body of a request, within its bounds.
'use strict';
const { Problem, invalid } = require('../problem.js');
const config = require('../config.js');

const JSON_TYPES = /^application\/(merge-patch\+)?json\s*(;\s*charset="?utf-8"?\s*)?$/i;

const tooLarge = () => new Problem(413, 'body_too_large', 'body is too large', `It may have ${config.maxBody} bytes.`, { Connection: 'close' });

// All of it, or a problem; what comes after that is not kept.
function read(stream) {
    return new Promise((resolve, reject) => {
        const parts = [];
        let size = 0;
        const early = () => reject(new Problem(400, 'bad_request', 'bad request', 'The body ends too early.'));
        stream.on('data', (part) => {
            if ((size += part.length) <= config.maxBody) return parts.push(part);
            parts.length = 0;
            return reject(tooLarge());
        });
        stream.once('end', () => resolve(parts.length === 1 ? parts[0] : Buffer.concat(parts))).once('error', early).once('close', early);
    });
}

// The body: { text, rows }. PostgreSQL reads the text, since numbers lose digits on their way through JavaScript.
async function body(stream, { onlyObject }) {
    if (Number(stream.headers['content-length']) > config.maxBody) throw tooLarge();
    const bytes = await read(stream);
    if (!bytes.length) return { text: undefined, rows: [{}] };
    if (!JSON_TYPES.test(stream.headers['content-type'] ?? '') || stream.headers['content-encoding']) {
        throw new Problem(415, 'unsupported_media_type', 'media type is not supported', 'The body is application/json, in UTF-8 and not compressed.', { 'Accept-Post': 'application/json', 'Accept-Patch': 'application/merge-patch+json, application/json' });
    }
    try {
        const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes), parsed = JSON.parse(text);
        const rows = Array.isArray(parsed) ? parsed : [parsed];
        if (rows.every((r) => r !== null && typeof r === 'object' && !Array.isArray(r)) && !(onlyObject && rows === parsed)) return { text, rows, many: rows === parsed };
    } catch (error) { if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error; }
    throw invalid('invalid_json', onlyObject ? 'The body is a JSON object.' : 'The body is a JSON object, or an array of objects.');
}

module.exports = body;
