// A process a core.
'use strict';
const cluster = require('node:cluster');
const config = require('../config.js');

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

module.exports = { first: cluster.isPrimary, lead };
