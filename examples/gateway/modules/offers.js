// What is offered, in Allow and in the description, of what is served. A role may have a privilege on a view and none on the table behind it, so
// that it is told why it may not, and what to do instead: POST /members says that one invites. That always answers 403, and is not offered.
'use strict';

// Of a view, as one role sees it, and what taskapi.resources tells that role of its resource: which columns make a row, which can
// be changed, and whether rows can be removed. A view that expose() did not make has its privileges alone.
function offer(row) {
    const { live, name, actions, described } = row, trash = live !== null && live !== name, columns = new Map(described?.map((c) => [c.name, c]));
    for (const c of row.columns) {
        const known = !actions ? c : trash ? { insertable: false, updatable: actions.includes('restore') } : columns.get(c.name);
        c.creates = Boolean(c.insertable && known?.insertable);
        c.changes = Boolean(c.updatable && known?.updatable);
    }
    row.removes = row.deletes && (!actions || actions.includes(trash ? 'purge' : 'delete'));
    return row;
}

// The methods of the collection and of one row. By "served" they are those that some privilege allows.
const SERVED = ['insertable', 'updatable', 'deletes'], OFFERED = ['creates', 'changes', 'removes'];
function methodsOf(resource, [insert, change, remove]) {
    const some = (kind) => resource.columns.some((c) => c[kind]), create = some(insert) && !resource.trash, GET = some('readable');
    const row = { GET, HEAD: GET, PUT: create && some(change), PATCH: some(change), DELETE: resource[remove] };
    return { row, collection: { ...row, POST: create } };
}

module.exports = { offer, methodsOf, SERVED, OFFERED };
