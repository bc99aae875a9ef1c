// Paths of the gateway's own: its description, and what orchestrators and proxies ask. Any other is a resource or a function.
'use strict';
const { ask } = require('../database.js');
const { Problem } = require('../problem.js');
const { catalog } = require('../catalog.js');
const openapi = require('./openapi.js');
const { profileOf } = require('./postgrest.js');
const config = require('../config.js');

const state = { closing: false };
const json = (body) => ({ status: 200, headers: {}, body: JSON.stringify(body) });

const OWN = {
    '/openapi.json': async (request) => { profileOf(request); return openapi(); },
    '/livez': async () => json({ status: 'alive' }),
    '/readyz': async () => {
        if (state.closing || !catalog.version) throw new Problem(503, 'unavailable', state.closing ? 'shutting down' : 'starting');
        await ask(config.apiRole, 'SELECT', []);
        return json({ status: 'ready' });
    },
    // For a proxy that sends writes to the primary: 503 beside a standby.
    '/primaryz': async () => {
        const [{ standby }] = await ask(config.apiRole, 'SELECT pg_is_in_recovery() AS standby', []);
        if (state.closing || standby) throw new Problem(503, 'read_only', state.closing ? 'shutting down' : 'a standby');
        return json({ status: 'primary' });
    },
};

module.exports = { OWN, state };
