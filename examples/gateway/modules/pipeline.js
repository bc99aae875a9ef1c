// Several statements in one round trip, which node-pg does not offer: what is written to its connection is public, and its queue takes
// anything that can submit().
'use strict';
const { serialize } = require('pg-protocol');
const config = require('../config.js');

const EXECUTE = serialize.execute(), SYNC = serialize.sync();

// Clients choose columns and filters, and so texts: only so many are prepared, any other is parsed each time.
const names = new Map();
function nameOf(text) {
    if (!names.has(text) && names.size < config.prepared) names.set(text, `gateway_${names.size}`);
    return names.get(text);
}

// The messages of a statement without parameters are always the same.
const constants = new Map();
function constant(name) {
    if (!constants.has(name)) constants.set(name, Buffer.concat([serialize.bind({ statement: name }), EXECUTE]));
    return constants.get(name);
}

// Several statements for node-pg's queue: parsed where they are new to the connection, bound, executed, and one Sync. Values are
// text, in and out, and NULL is null; each answer is its rows, with the number of rows that were read or written as "count".
class Pipeline {
    constructor(statements) {
        this.statements = statements;
        this.names = statements.map(({ text }) => nameOf(text));
        this.rows = statements.map(() => []);
        this.at = 0;
        this.done = new Promise((resolve, reject) => { this.resolve = resolve; this.reject = reject; });
    }

    submit(connection) {
        const known = (this.known = connection.knownToGateway ??= new Set()), messages = [];
        this.statements.forEach(({ text, values }, i) => {
            const name = this.names[i];
            if (!known.has(name)) {
                // whether an earlier one of this name was parsed before it failed is not known; to close none is no error
                if (name) messages.push(serialize.close({ type: 'S', name }));
                messages.push(serialize.parse({ name, text, types: [] }));
            }
            if (values || !name) messages.push(serialize.bind({ statement: name, values }), EXECUTE);
            else messages.push(constant(name));
        });
        messages.push(SYNC);
        connection.stream.write(Buffer.concat(messages));        // one system call
        return null;
    }

    handleDataRow(message) { this.rows[this.at].push(message.fields); }
    handleCommandComplete({ text }) {
        this.rows[this.at].count = Number(text.slice(text.lastIndexOf(' ') + 1));
        const name = this.names[this.at++];
        if (name) this.known.add(name);
    }
    handleReadyForQuery() { this.resolve(this.rows); }
    handleError(error) { this.reject(Object.assign(error, { step: this.at })); }
    handleRowDescription() {}
    handlePortalSuspended() {}
    handleEmptyQuery() {}
}

async function run(client, statements) {
    const pipeline = new Pipeline(statements);
    client.query(pipeline);
    return pipeline.done;
}

module.exports = run;
