// A connection beside the pool, for notifications and cancellations.
'use strict';
const { Client } = require('pg');

// onChange is called when the connection is there, and at each NOTIFY pgrst, which expose() sends; a lost connection comes back. A
// standby takes no LISTEN: onChange is called every ten seconds then, until one is taken because it was promoted.
let control, closing = false;
const taken = (client) => client.query('LISTEN pgrst').then(() => true, (error) => { if (error.code !== '25006') throw error; return false; });
async function listen(onChange) {
    const client = new Client({ application_name: 'gateway control' });
    client.on('notification', onChange);
    client.on('error', () => {});
    let polling;
    client.on('end', () => {
        control = undefined;
        clearInterval(polling);
        if (!closing) setTimeout(() => listen(onChange).catch(() => {}), 1000);
    });
    await client.connect();
    if (!await taken(client)) {
        polling = setInterval(async () => {
            if (await taken(client).catch(() => false)) clearInterval(polling);
            onChange();
        }, 10000);
    }
    control = client;
    onChange();
}

// What another connection runs ends; settled when the server has been told.
const cancel = ({ processID }) => control?.query('SELECT pg_cancel_backend($1)', [processID]).catch(() => {});

async function end() {
    closing = true;
    await control?.end();
}

module.exports = { listen, cancel, end };
