#!/usr/bin/env node
// sync.js: a copy of a resource in a JSON file, in step with the server. It needs nothing but Node 18.
//
//     SYNC_TOKEN=JWT node sync.js URL FILE [--filter JSON] [--key COLUMN,...] [--every SECONDS]
//
// URL is the resource's changes function, such as http://127.0.0.1:3000/rpc/tasks_changes. --key names the columns
// of its key, without which that is id. Without --every it follows once and ends.
// The file holds the rows and the token that they are of, and is replaced as a whole: killed at any moment, the client goes on from
// where the file is. docs/sync.md has the loop in pseudo-code.
'use strict';

const fs = require('fs');
const path = require('path');

function options(argv) {
  const given = { every: 0, filter: null, key: ['id'], rest: [] };
  for (let i = 0; i < argv.length; i++) {
    if (argv[i] === '--filter') given.filter = argv[++i];
    else if (argv[i] === '--key') given.key = (argv[++i] || '').split(',');
    else if (argv[i] === '--every') given.every = Number(argv[++i]);
    else given.rest.push(argv[i]);
  }
  if (given.rest.length !== 2 || !(given.every >= 0)) {
    console.error('usage: sync.js URL FILE [--filter JSON] [--key COLUMN,...] [--every SECONDS]');
    process.exit(2);
  }
  return given;
}

// JSON whose numbers keep their digits: one that JavaScript would write otherwise, such as 9007199254740993 or 1.10, is kept as it came, as
// text behind \u0000, and so is a string with that character, which a column of type json may have.
const TOKENS = /"(?:[^"\\]+|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const same = (token) => (token[0] === '"' ? !token.includes('\\u0000') : String(Number(token)) === token);
const parse = (json) => JSON.parse(json.replace(TOKENS, (token) => (same(token) ? token : JSON.stringify(`\0${token}`))));
const write = (value) => JSON.stringify(value).replace(/"\\u0000((?:[^"\\]+|\\.)*)"/g, (_, token) => JSON.parse(`"${token}"`));

// rows by the JSON of their key; old are those that a walk from the beginning has not met yet; more tells that a walk was left off
function load(file) {
  try {
    return parse(fs.readFileSync(file, 'utf8'));
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    return { token: null, rows: {}, old: [], more: false };
  }
}

// Whoever reads the file finds the old one or the new one, after a crash of the machine too. What a killed run has left is written over:
// a file is for one client at a time.
function store(file, copy) {
  const next = `${file}.new`;
  const fd = fs.openSync(next, 'w');
  try {
    fs.writeFileSync(fd, write(copy));
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  fs.renameSync(next, file);
  const directory = fs.openSync(path.dirname(path.resolve(file)), 'r');
  try {
    fs.fsyncSync(directory);
  } finally {
    fs.closeSync(directory);
  }
}

const sleep = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

// A page, or the problem that the server answered with. What is worth another try is tried again, later and later.
async function fetchPage(url, token, filter) {
  const address = new URL(url);
  if (token) address.searchParams.set('page_token', token);
  if (filter) address.searchParams.set('filter', filter);
  for (let wait = 0.1; ; wait = Math.min(2 * wait, 30)) {
    let answer;
    try {
      answer = await fetch(address, {
        headers: { accept: 'application/json', authorization: `Bearer ${process.env.SYNC_TOKEN || ''}` },
      });
      if (answer.ok) return { page: parse(await answer.text()) };
    } catch (error) {
      console.error(`sync: ${error.cause ? error.cause.code : error.message}, again in ${wait} s`);
      await sleep(wait * (0.5 + Math.random()));
      continue;
    }
    const problem = await answer.json().catch(() => ({}));
    if (answer.status === 429 || answer.status >= 500) {
      await sleep(Number(answer.headers.get('retry-after')) || wait);
      continue;
    }
    return { status: answer.status, problem };
  }
}

function keyOf(columns, row) {
  const missing = columns.find((column) => row[column] === undefined);
  if (missing !== undefined) throw new Error(`a row has no column "${missing}"; --key names those of the key`);
  // 1.10 is the key 1.1
  return write(columns.map((column) => (/^\0[^e]*\.[^e]*$/i.test(row[column]) ? row[column].replace(/\.?0+$/, '') : row[column])));
}

function apply(copy, columns, page) {
  const old = new Set(copy.old);
  for (const row of page.items) {
    const key = keyOf(columns, row);
    copy.rows[key] = row;
    old.delete(key);
  }
  for (const row of page.removed) delete copy.rows[keyOf(columns, row)];
  copy.old = [...old];
  copy.token = page.next_page_token;
  copy.more = page.has_more;
  if (!page.has_more) {
    for (const key of copy.old) delete copy.rows[key];
    copy.old = [];
  }
}

// Until the copy is what the server had when this began. A walk that a run before this one began leads to what there was then.
async function follow(url, file, { filter, key: columns }) {
  const copy = load(file);
  let resumed = copy.more;
  for (;;) {
    const { page, status, problem } = await fetchPage(url, copy.token, filter);
    if (status === 410) {
      // start over; the rows stay until the walk has shown which of them are gone
      copy.token = null;
      copy.more = resumed = false;
      copy.old = Object.keys(copy.rows);
      store(file, copy);
      continue;
    }
    if (!page) throw new Error(`${status} ${problem.code || ''} ${problem.details || problem.message || ''}`);
    const before = copy.token;
    apply(copy, columns, page);
    if (copy.token !== before || page.items.length > 0) store(file, copy);
    if (page.has_more) continue;
    if (!resumed) return Object.keys(copy.rows).length;
    resumed = false;
  }
}

async function main() {
  const given = options(process.argv.slice(2));
  const { every, rest: [url, file] } = given;
  for (;;) {
    const rows = await follow(url, file, given);
    if (every === 0) {
      console.log(`${rows} rows`);
      return;
    }
    await sleep(every * (0.8 + 0.4 * Math.random()));
  }
}

main().catch((error) => {
  console.error(`sync: ${error.message}`);
  process.exit(1);
});
