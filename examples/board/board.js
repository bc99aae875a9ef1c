// A board over the task API, as a client should be written: one door to the server; what is shown before it is answered is taken back if
// it is refused; pages by their Link; the version that a change is made from goes along; a key for what must not happen twice; what others
// change comes by the change feed.

const STATES = ['todo', 'in_progress', 'done', 'cancelled'];
const $ = (selector, of = document) => of.querySelector(selector);
const words = (name) => name.replaceAll('_', ' ');

// Text never becomes markup: everything goes through textContent.
function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
}

// ---- the door ------------------------------------------------------------------------------------------------------------------
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// The cookie goes along by itself, and no script sees it. 401 shows the log-in, 429 and 503 wait as long as they are told to, aloud.
// A lost connection is tried again, where that is safe: to read, or with an Idempotency-Key. Reads say what was written last, so that a
// standby shows it.
let written;
async function call(method, path, body, headers = {}) {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json', again = method === 'GET' || 'Idempotency-Key' in headers;
    for (let attempt = 0; ; attempt++) {
        let answer;
        try {
            answer = await fetch(path, { method, headers: { Accept: 'application/json', ...(body && { 'Content-Type': type }), ...(written && { 'Read-After': written }), ...headers }, body: body && JSON.stringify(body) });
        } catch (error) {
            if (!again || attempt >= 4) throw { message: 'The server cannot be reached.' };
            await wait(500 * 2 ** attempt);
            continue;
        }
        if (answer.status === 429 || (answer.status === 503 && attempt < 4)) {
            await countdown(Number(answer.headers.get('Retry-After') ?? 1), answer.status === 429 ? 'Too many requests' : 'The server is busy');
            continue;
        }
        written = answer.headers.get('Read-After') ?? written;
        const data = answer.status === 204 ? null : await answer.json();
        if (answer.status === 401 && path !== '/sessions') leave();
        if (!answer.ok) throw data;
        return { data, next: /<([^>]*)>; rel="next"/.exec(answer.headers.get('Link') ?? '')?.[1] };
    }
}

async function countdown(seconds, why) {
    for (let left = seconds; left > 0; left--) {
        note(`${why}: again in ${left} s`);
        await wait(1000);
    }
    note();
}

// ---- what is said -----------------------------------------------------------------------------------------------------------------
let undoing;
function note(text, undo) {
    const box = $('#note');
    clearTimeout(note.timer);
    box.hidden = !text;
    $('span', box).textContent = text ?? '';
    $('button', box).hidden = !undo;
    undoing = undo;
    if (text) note.timer = setTimeout(note, undo ? 10000 : 5000);
}
const complain = (problem) => note(problem?.details ?? problem?.message ?? String(problem));
const undo = () => { const what = undoing; note(); what?.(); };
$('#note button').onclick = undo;

function show(what) {
    for (const id of ['login', 'app']) $(`#${id}`).hidden = id !== what;
    if (what === 'login') $('#login input').focus();
}
function leave() {
    following = undefined;
    show('login');
}

// ---- columns: each asks for its next page when its end comes into sight -------------------------------------------------------------
let project;
class Column {
    constructor(status) {
        this.status = status;
        this.cards = new Map();
        this.end = element('li', { className: 'end' });
        this.list = element('ul', { className: 'list', ariaLabel: words(status) }, this.end);
        this.list.dataset.status = status;
        this.box = element('section', {}, element('h2', { textContent: words(status) }), this.list);
        new IntersectionObserver((seen) => { if (seen.some((s) => s.isIntersecting)) this.more(); }, { root: this.list, rootMargin: '400px' }).observe(this.end);
    }

    async start() {
        for (const id of [...this.cards.keys()]) this.drop(id);
        this.walk = {};                                         // what comes late for an earlier project is of another walk
        this.next = `/projects/${project}/tasks?status=eq.${this.status}&limit=25`;
        this.busy = false;
        await this.more();
    }

    async more() {
        if (!this.next || this.busy) return;
        const { walk, next } = this;
        this.busy = true;
        try {
            const page = await call('GET', next);
            if (walk !== this.walk) return;
            this.next = page.next && new URL(page.next, new URL(next, location)).href;
            for (const task of page.data) if (!this.cards.has(task.id)) this.put(task);
            this.end.textContent = this.next ? '…' : '';
        } catch (problem) {
            complain(problem);
        } finally {
            if (walk === this.walk) this.busy = false;
        }
        if (this.next && this.list.scrollHeight <= this.list.clientHeight + 400) await this.more();
    }

    put(task, first) {
        this.drop(task.id);
        const card = draw(task);
        this.cards.set(task.id, card);
        if (first) this.list.prepend(card); else this.end.before(card);
        return card;
    }

    drop(id) {
        this.cards.get(id)?.remove();
        this.cards.delete(id);
    }
}
const columns = Object.fromEntries(STATES.map((status) => [status, new Column(status)]));
$('#board').append(...STATES.map((status) => columns[status].box));

function draw(task) {
    const states = STATES.map((s) => element('option', { value: s, textContent: words(s), selected: s === task.status }));
    const state = element('select', { ariaLabel: 'Status', onchange: () => change(task, { status: state.value }) }, ...states);
    const facts = [task.due_date, task.priority && `P${task.priority}`, ...task.labels.slice(0, 2)].filter(Boolean).join(' · ');
    const title = element('p', { textContent: task.title, onblur: () => finish(task, title) });
    const card = element('li', { className: 'card', tabIndex: 0 }, title,
        element('div', {}, element('small', { textContent: facts }), state, element('button', { textContent: '✕', title: 'Delete', ariaLabel: `Delete ${task.title}`, onclick: () => remove(task) })));
    Object.assign(card, { task, titleBox: title, ondblclick: () => edit(card) });
    card.dataset.id = task.id;
    return card;
}

// ---- changes ------------------------------------------------------------------------------------------------------------------------
// Shown at once, and taken back if refused. With If-Match nobody's work is lost: 412 shows both.
async function change(task, patch) {
    const wanted = { ...task, ...patch };
    columns[task.status].drop(task.id);
    const card = columns[wanted.status].put(wanted, true);
    card.classList.add('pending');
    card.focus();
    try {
        const { data } = await call('PATCH', `/tasks/${task.id}`, patch, { 'If-Match': `"${task.version}"` });
        columns[wanted.status].drop(task.id);
        columns[data.status].put(data, true).focus();
    } catch (problem) {
        columns[wanted.status].drop(task.id);
        if (problem?.code === 'version_conflict') return conflict(task, patch);
        columns[task.status].put(task, true);
        complain(problem);
    }
}

async function conflict(task, patch) {
    let theirs;
    try { theirs = (await call('GET', `/tasks/${task.id}`)).data; } catch (problem) { return complain(problem); }     // deleted, perhaps
    columns[theirs.status].put(theirs, true);
    const same = (a, b) => JSON.stringify(a) === JSON.stringify(b), text = (v) => (v === null || v === undefined ? '–' : typeof v === 'object' ? JSON.stringify(v) : String(v));
    const changed = Object.keys(theirs).filter((k) => !['version', 'updated_at', 'cursor'].includes(k) && (k in patch || !same(theirs[k], task[k])));
    $('#conflict tbody').replaceChildren(...changed.map((k) => element('tr', {}, ...[words(k), text(theirs[k]), k in patch ? text(patch[k]) : '(as it was)'].map((t) => element('td', { textContent: t })))));
    const dialog = $('#conflict');
    dialog.returnValue = 'theirs';
    dialog.onclose = () => { if (dialog.returnValue === 'mine') change(theirs, patch); };
    dialog.showModal();
}

function edit(card) {
    const title = card.titleBox;
    title.contentEditable = 'plaintext-only';
    title.focus();
    getSelection().selectAllChildren(title);
}

function finish(task, title) {
    title.contentEditable = 'false';
    const text = title.textContent.trim();
    if (text && text !== task.title) return change(task, { title: text });
    title.textContent = task.title;
    const { newer } = title.closest('.card') ?? {};
    if (newer) take(newer);
}

async function remove(task) {
    columns[task.status].drop(task.id);
    try {
        await call('DELETE', `/tasks/${task.id}`, null, { 'If-Match': `"${task.version}"` });
        note(`“${task.title}” is in the trash`, () => restore(task.id));
    } catch (problem) {
        if (problem?.code === 'version_conflict') return conflict(task, {});
        columns[task.status].put(task, true);
        complain(problem);
    }
}

async function restore(id) {
    try {
        await call('PATCH', `/deleted_tasks/${id}`, { deleted_at: null });
        const { data: task } = await call('GET', `/tasks/${id}`);
        if (task.project_id === project) columns[task.status].put(task, true).focus();
        return true;
    } catch (problem) {
        complain(problem);
        return false;
    }
}

$('#trash').onclick = async () => {
    try {
        const { data } = await call('GET', `/projects/${project}/deleted_tasks?limit=100&select=id,title`);
        const item = (task) => {
            const line = element('li', {}, task.title, element('button', { textContent: 'Restore', onclick: async () => { if (await restore(task.id)) line.remove(); } }));
            return line;
        };
        $('#bin ul').replaceChildren(...(data.length ? data.map(item) : [element('li', { textContent: 'It is empty.' })]));
        $('#bin').showModal();
    } catch (problem) { complain(problem); }
};

// The same key for each attempt: however often it is sent, it is one task.
$('#add').onsubmit = async (event) => {
    event.preventDefault();
    const form = event.target, title = form.elements.title.value.trim();
    if (!title) return;
    try {
        const { data } = await call('POST', `/projects/${project}/tasks`, { title }, { 'Idempotency-Key': `"${crypto.randomUUID()}"` });
        form.reset();
        columns[data.status].put(data, true);
    } catch (problem) { complain(problem); }
};

// ---- search -----------------------------------------------------------------------------------------------------------------------------
// A page after the other, by the cursor of the last row; an empty one is the end.
$('#search').onsubmit = async (event) => {
    event.preventDefault();
    const query = event.target.elements.query.value.trim(), dialog = $('#found'), list = $('ul', dialog), button = $('button[type=button]', dialog), of = project;
    let token = '';
    const line = (task) => element('li', {}, element('button', { textContent: task.title, onclick: () => { dialog.close(); take(task, true); } }), element('small', { textContent: words(task.status) }));
    const more = async () => {
        try {
            const { data } = await call('GET', `/rpc/tasks_search?${new URLSearchParams({ query, project_id: of, page_size: 25, page_token: token })}`);
            token = data.at(-1)?.cursor;
            button.hidden = !token;
            list.append(...data.map(({ task }) => line(task)), ...(list.children.length || data.length ? [] : [element('li', { textContent: 'Nothing has these words.' })]));
        } catch (problem) { complain(problem); }
    };
    if (!query) return;
    list.replaceChildren();
    button.onclick = more;
    await more();
    if (!dialog.open) dialog.showModal();
};

// ---- what others change --------------------------------------------------------------------------------------------------------------------
// The change feed of the project, from just before the columns were read. ?sync=SECONDS says how often it is asked; 0 is never. Nothing is asked
// while nobody looks.
const every = 1000 * Number(new URLSearchParams(location.search).get('sync') ?? 3);
let following;
const changes = async (of, token) => (await call('GET', `/rpc/tasks_changes?${new URLSearchParams({ filter: JSON.stringify({ project_id: of }), page_token: token, page_size: 100 })}`)).data;
const seen = () => new Promise((resolve) => { if (document.hidden) document.addEventListener('visibilitychange', resolve, { once: true }); else resolve(); });

async function follow(mine, token) {
    for (let more = false; mine === following;) {
        if (!more) { await wait(every); await seen(); }
        if (mine !== following) return;
        try {
            const page = await changes(mine.project, token);
            if (mine !== following) return;
            for (const task of page.items) take(task);
            for (const { id } of page.removed) for (const column of Object.values(columns)) column.drop(id);
            ({ next_page_token: token, has_more: more } = page);
        } catch (problem) {
            more = false;
            if (problem?.code === 'cursor_expired') return startAll();       // what one may see has changed, or it was too long ago
            if (problem?.code === 'unauthenticated') return;
            complain(problem);
        }
    }
}

// A task as it is now. What is being changed here stays: its version tells the server, and 412 the user.
function take(task, focus) {
    const from = Object.values(columns).find((column) => column.cards.has(task.id)), card = from?.cards.get(task.id);
    const current = card && (card.task.version >= task.version || card.matches('.pending') || card.titleBox.isContentEditable);
    if (card?.titleBox.isContentEditable) card.newer = task;
    if (current && focus) card.focus();
    if (current || task.project_id !== project) return;
    const place = from === columns[task.status] && card.nextSibling, focused = focus || card?.contains(document.activeElement);
    from?.drop(task.id);
    const shown = columns[task.status].put(task, true);
    if (place) place.before(shown);
    shown.classList.add('changed');
    if (focused) shown.focus();
}

// ---- by keyboard ------------------------------------------------------------------------------------------------------------------------
document.addEventListener('keydown', (event) => {
    if (event.target.matches('input, select, [contenteditable="plaintext-only"]') || $('dialog[open]') || event.ctrlKey || event.metaKey || event.altKey) {
        if (event.target.matches('[contenteditable="plaintext-only"]') && ['Enter', 'Escape'].includes(event.key)) {
            if (event.key === 'Escape') event.target.textContent = event.target.closest('.card').task.title;
            event.preventDefault();
            event.target.closest('.card').focus();
        }
        return;
    }
    const card = event.target.closest('.card'), key = event.key.toLowerCase();
    if ($('#app').hidden) return;
    if (key === 'n') { event.preventDefault(); $('#add input').focus(); }
    else if (key === '/') { event.preventDefault(); $('#search input').focus(); }
    else if (key === 'u' && undoing) undo();
    else if (key.startsWith('arrow')) { event.preventDefault(); arrow(card, key.slice(5), event.shiftKey); }
    else if (!card) return;
    else if (key === 'enter' && event.target === card) { event.preventDefault(); edit(card); }
    else if (key === 'delete') remove(card.task);
});

function arrow(card, way, move) {
    if (!card) return $('.card')?.focus();
    if (way === 'up' || way === 'down') {
        const next = way === 'up' ? card.previousElementSibling : card.nextElementSibling;
        if (next?.matches('.card')) next.focus();
        return;
    }
    for (let at = STATES.indexOf(card.task.status) + (way === 'left' ? -1 : 1); STATES[at]; at += way === 'left' ? -1 : 1) {
        if (move) return change(card.task, { status: STATES[at] });
        const first = $('.card', columns[STATES[at]].list);
        if (first) return first.focus();
    }
}

// ---- begin and end -----------------------------------------------------------------------------------------------------------------------
$('#login').onsubmit = async (event) => {
    event.preventDefault();
    const form = event.target;
    try {
        await call('POST', '/sessions', Object.fromEntries(new FormData(form)));
        form.reset();
        $('output', form).textContent = '';
        await begin();
    } catch (problem) { $('output', form).textContent = problem.details ?? problem.message; }
};
$('#logout').onclick = async () => {
    try { await call('DELETE', '/sessions?current=is.true'); leave(); } catch (problem) { complain(problem); }
};
$('#project').onchange = (event) => { project = event.target.value; startAll(); };
async function startAll() {
    const mine = (following = { project });
    let token;
    try { if (every) token = (await changes(project, 'latest')).next_page_token; } catch (problem) { complain(problem); }
    if (mine !== following) return;
    await Promise.all(Object.values(columns).map((column) => column.start()));
    if (token) follow(mine, token);
}

async function begin() {
    const { data } = await call('GET', '/projects?select=id,name&limit=200');
    show('app');
    $('#project').replaceChildren(...data.map((p) => element('option', { value: p.id, textContent: p.name })));
    project = data[0]?.id;
    if (project) await startAll();
}
begin().catch((problem) => { if (problem?.code !== 'unauthenticated') complain(problem); });
