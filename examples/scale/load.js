#!/usr/bin/env node
// Clients that write, and read what they wrote, until SIGTERM: node load.js URL PROJECT TOKEN...
// They keep the rules of docs/layers.md: each POST has a key, and is sent again with it after 409 with Retry-After, 429, 503, 5xx of a
// proxy, a lost connection, and an answer that is no JSON. What happened is printed as JSON at the end.
'use strict';
const crypto = require('node:crypto');
const [url, project, ...tokens] = process.argv.slice(2);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const seen = { written: [], denied: 0, missed: 0, repeated: 0, behind: 0, refused: [], gap: 0, reads: {} };
let ending = false, last;
process.once('SIGTERM', () => { ending = true; });

// One request, sent until it is answered for good; undefined if it cannot be until the end.
async function send(method, path, token, headers, body) {
    for (let attempt = 0; attempt < 6000; attempt++) {
        try {
            const answer = await fetch(url + path, { method, signal: AbortSignal.timeout(10000), body: body && JSON.stringify(body),
                headers: { authorization: `Bearer ${token}`, accept: 'application/json', ...(body && { 'content-type': 'application/json' }), ...headers } });
            const data = await answer.json();
            if (answer.status === 429) seen.denied++;
            if (data.code === 'try_again') seen.behind++;
            if (answer.status < 500 && answer.status !== 429 && !(answer.status === 409 && answer.headers.has('retry-after'))) return { answer, data };
            seen.repeated++;
            await sleep(answer.headers.has('retry-after') ? 200 : 50);      // sooner than it is told to, so that the gap is the servers' and not the clients'
        } catch {
            seen.repeated++;
            await sleep(50);
        }
    }
}

async function client(token) {
    while (!ending) {
        const title = crypto.randomUUID();
        const post = await send('POST', '/tasks', token, { 'idempotency-key': title }, { project_id: project, title });
        if (!post) break;
        if (post.answer.status !== 201) {
            seen.refused.push(post.data);
            break;
        }
        const now = Date.now(), after = post.answer.headers.get('read-after');
        seen.gap = Math.max(seen.gap, now - (last ?? now));
        last = now;
        seen.written.push(title);
        const get = await send('GET', `/tasks/${post.data.id}`, token, { 'read-after': after });
        const by = get?.answer.headers.get('x-served-by');
        seen.reads[by] = (seen.reads[by] ?? 0) + 1;
        if (get?.answer.status !== 200 || get.data.title !== title) seen.missed++;
        await sleep(20);
    }
}

Promise.all(tokens.map(client)).then(() => console.log(JSON.stringify(seen)));
