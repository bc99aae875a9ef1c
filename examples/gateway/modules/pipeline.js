// Several statements in one round trip, which node-pg does not offer: what is written to its connection is public, and its queue takes
// anything that can submit().
'use strict';
const config = require('../config.js');

// Clients choose columns and filters, and so texts: only so many are prepared, any other is parsed each time.
const names = new Map();
function nameOf(text) {
    if (!names.has(text) && names.size < config.prepared) names.set(text, `gateway_${names.size}`);
    return names.get(text);
}

// Several statements for node-pg's queue: parsed where they are new to the connection, bound, executed, and one Sync. Values are
// text, in and out, and NULL is null; each answer is its rows, with the number of rows that were read or written as "count".
class Pipeline {
    constructor(statements) {
        this.statements = statements;
        this.rows = statements.map(() => []);
        this.at = 0;
        this.done = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    }

    submit(connection) {
        const known = (this.known = connection.knownToGateway ??= new Set());
        connection.stream.cork();
        for (const { text, values = [] } of this.statements) {
            const name = nameOf(text);
            if (!known.has(name)) {
                // whether an earlier one of this name was parsed before it failed is not known; to close none is no error
                if (name) connection.close({ type: 'S', name });
                connection.parse({ name, text, types: [] });
            }
            connection.bind({ statement: name, values });
            connection.execute({ portal: '', rows: 0 });
        }
        connection.sync();
        connection.stream.uncork();
        return null;
    }

    handleDataRow(message) { this.rows[this.at].push(message.fields); }
    handleCommandComplete({ text }) {
        this.rows[this.at].count = Number(/\d+$/.exec(text)?.[0]);
        const name = nameOf(this.statements[this.at++].text);
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
