// A connection beside the pool, for notifications and cancellations.
'use strict';
const { Client } = require('pg');

// onChange is called when the connection is there, and at each NOTIFY pgrst, which expose() sends; a lost connection comes back.
let control, closing = false;
async function listen(onChange) {
    const client = new Client({ application_name: 'gateway control' });
    client.on('notification', onChange);
    client.on('error', () => {});
    client.on('end', () => {
        control = undefined;
        if (!closing) setTimeout(() => listen(onChange).catch(() => {}), 1000);
    });
    await client.connect();
    await client.query('LISTEN pgrst');
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
