// What the roles that callers become have set for themselves (ALTER ROLE ... SET). SET ROLE does not bring it along.
'use strict';
const { ask, settings } = require('../database.js');
const config = require('../config.js');

const SETTINGS = `
    SELECT r.rolname AS role, split_part(c.setting, '=', 1) AS name, substr(c.setting, strpos(c.setting, '=') + 1) AS value
    FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c (setting)
    WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())) AND pg_has_role(session_user, r.oid, 'MEMBER')
      AND split_part(c.setting, '=', 1) NOT IN ('role', 'session_authorization')
    ORDER BY s.setdatabase`;
// Without the library of the extension its settings would be anybody's to set.
const SET = `SELECT set_config($1, $2, true) FROM (SELECT taskapi.read_after() OFFSET 0) AS loaded`;

// What a role may not set, and a value that is not good, is passed over, as pre_request() does: it would fail every request of the role.
const REFUSED = /^(22|25|42|55P02)/;
async function readSettings() {
    const found = await ask(config.apiRole, SETTINGS);
    const good = await Promise.all(found.map(({ role, name, value }) => ask(role, SET, [name, value]).catch((error) => {
        if (!REFUSED.test(error.code)) throw error;
        console.error(JSON.stringify({ level: 'error', message: `ALTER ROLE ${role} SET ${name} is passed over: ${error.message}` }));
    })));
    settings.clear();         // not before all are known: requests run meanwhile
    for (const { role, name, value } of found.filter((_, i) => good[i])) settings.set(role, { ...settings.get(role), [name]: value });
}

module.exports = readSettings;
