// What PostgreSQL itself refuses: whose fault it is, and with which status and code it is told.
'use strict';

// The first that fits counts; the messages of those below 500 are the client's to read.
const SQLSTATES = [
    [/^42501$/, 403, 'forbidden'],
    [/^(22|23502|23514|428C9|42703|42804|42725|P0001)/, 400, 'invalid_value'],
    [/^23503$/, 409, 'invalid_reference'],
    [/^23/, 409, 'already_exists'],
    [/^(42883|42P01)$/, 404, 'not_found'],
    [/^25006$/, 405, 'method_not_allowed'],
    [/^54/, 413, 'too_complex'],
    [/^(40|55P03)/, 503, 'try_again'],
    [/^57014$/, 504, 'timeout'],
    [/^(08|53|57P|ECONN|EPIPE|ENOENT|EAI_)/, 503, 'unavailable'],
];
const LOST = /^(Connection terminated|timeout exceeded|Client has encountered)/;        // pg says so without a code

// Faults of the server that have the SQLSTATE of a client's: there are no transaction ids left, or the operating system lets it not have a
// file, as on a disk that was remounted read-only. The server's file that raised the error tells. Some raise what a role may not do,
// too; there the end of the message tells, which is the operating system's. RAISE may write anything, so its author means what it says.
const IDS = /^(varsup|multixact)\.c$/;
const FILES = /^(buffile|bufmgr|copydir|copyfrom|copyfromparse|copyto|dbsize|dsm_impl|fd|logtape|md|pgstat|relcache|relmapper|sharedtuplestore|slru|snapmgr|sync|tuplestore|xlog|xlogutils)\.c$/;
const REASON = /: (Permission denied|Operation not permitted|Read-only file system)$/;
const isFault = ({ code, file = '', message }) => (code === '54000' ? IDS.test(file) : code === '42501' && (FILES.test(file) || (!/^pl/.test(file) && REASON.test(message))));

// What an input function says of a value: those of extensions, and those that look names up, have codes for it that a statement's own text
// can cause as well. That has a position, and a missing setting is told by guc.c. hstore had no code of its own before 16.
const isValue = ({ code, file, position, internalPosition }) => (/^(3F000|42601|42602|42704)$/.test(code) && !position && !internalPosition && file !== 'guc.c') ||
    (code === 'XX000' && file === 'hstore_io.c');

// [status, code] of an error.
function tell(error) {
    if (isFault(error)) return [503, 'unavailable'];
    if (isValue(error)) return [400, 'invalid_value'];
    const [, ...told] = SQLSTATES.find(([pattern]) => pattern.test(error.code ?? '')) ?? [, ...(LOST.test(error.message) ? [503, 'unavailable'] : [500, 'internal_error'])];
    return told;
}

module.exports = tell;
