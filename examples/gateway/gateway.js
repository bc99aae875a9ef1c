#!/usr/bin/env node
// REST over the resources of taskapi: Node 18 or later and pg, nothing else (Debian: apt-get install nodejs node-pg).
// A process a core; each has its connections, its catalog, and the whole of the work. See README.md for the reading order.
'use strict';
const processes = require('./modules/processes.js');
const config = require('./config.js');

async function work() {
    const { close } = require('./database.js');
    const { listen } = require('./modules/control.js');
    const { catalog, reread } = require('./catalog.js');
    const { start, stop } = require('./server.js');
    await reread();
    // one that fails is tried again: who changed the schema says so once
    let later;
    const follow = () => reread().catch((error) => {
        console.error(JSON.stringify({ level: 'error', message: error.message }));
        later ??= setTimeout(() => { later = undefined; follow(); }, 1000).unref();
    });
    await listen(follow);
    if (!catalog.resources.size) {
        console.error(JSON.stringify({ level: 'warning', message: `Of schema ${config.schema}, neither ${config.apiRole} nor ${config.anonymousRole} may use a resource: grant_resource() lets them` }));
    }
    const server = await start();
    console.log(JSON.stringify({ message: 'listening', host: config.host, port: server.address().port, resources: [...catalog.resources.keys()] }));
    for (const signal of ['SIGTERM', 'SIGINT']) {
        process.once(signal, async () => {
            setTimeout(() => process.exit(1), 30000 + config.drain).unref();
            await stop(server);
            await close();
            process.exit(0);
        });
    }
}

if (processes.first && config.workers > 1) processes.lead();
else work().catch((error) => { console.error(error.message); process.exit(1); });
