#!/usr/bin/env node
// REST over the resources of taskapi: Node 18 or later and pg, nothing else (Debian: apt-get install nodejs node-pg).
// A process a core; each has its connections, its catalog, and the whole of the work. See README.md for the reading order.
'use strict';
const cluster = require('node:cluster');
const config = require('./config.js');

const say = (fields) => console.log(JSON.stringify(fields));

async function work() {
    const { listen, close } = require('./database.js');
    const { catalog, reread } = require('./catalog.js');
    const { start, stop } = require('./server.js');
    await reread();
    await listen(() => reread().catch((error) => console.error(JSON.stringify({ level: 'error', message: error.message }))));
    const server = await start();
    say({ message: 'listening', host: config.host, port: server.address().port, resources: [...catalog.resources.keys()] });
    for (const signal of ['SIGTERM', 'SIGINT']) {
        process.once(signal, async () => {
            setTimeout(() => process.exit(1), 30000 + config.drain).unref();
            await stop(server);
            await close();
            process.exit(0);
        });
    }
}

// The first process starts the others, replaces one that dies, and passes the signal on to end.
function lead() {
    let ending = false;
    for (let i = 0; i < config.workers; i++) cluster.fork();
    cluster.on('exit', (worker, code) => {
        if (!ending) setTimeout(() => ending || cluster.fork(), 1000);
        else if (!Object.keys(cluster.workers).length) process.exit(code ?? 1);
    });
    for (const signal of ['SIGTERM', 'SIGINT']) {
        process.once(signal, () => {
            ending = true;
            if (!Object.keys(cluster.workers).length) process.exit(0);
            for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGTERM');
        });
    }
}

if (cluster.isPrimary && config.workers > 1) lead();
else work().catch((error) => { console.error(error.message); process.exit(1); });
