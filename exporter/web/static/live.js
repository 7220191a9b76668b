// Adds the reader's local time to each time in UTC, because SQL Server's error log is local.
// Refreshes an open page: fetches it again and updates the parts marked `data-live`.
// Every page works without this script; the reader then reloads it.
(() => {
  'use strict';
  const LONGEST_MS = 8000;
  document.documentElement.classList.add('scripted');

  const two = (number) => String(number).padStart(2, '0');
  const localTime = (exact) => {
    const at = new Date(exact);
    if (Number.isNaN(at.getTime()) || !at.getTimezoneOffset()) return '';
    const days = Math.round((Date.UTC(at.getFullYear(), at.getMonth(), at.getDate()) - Date.parse(exact.slice(0, 10))) / 86400000);
    const day = days ? `${days > 0 ? '+' : '-'}1d ` : '';
    return `${day}${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())} here`;
  };
  // Each tooltip has the local time; an exact time has it after the text. An age stays as it is.
  const addLocalTimes = (within) => {
    for (const each of within.querySelectorAll('time[datetime]')) {
      const local = localTime(each.dateTime);
      if (!local) continue;
      if (each.title) each.title += `, ${local}`;
      if (!each.classList.contains('exact')) continue;
      const added = document.createElement('span');
      added.className = 'local';
      added.textContent = local;
      each.append(added);
    }
  };
  addLocalTimes(document);

  // The button of an action copies its longest command, or the whole action.
  const copyText = async (text) => {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* only https and loopback have a clipboard */ }
    const field = document.createElement('textarea');
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand('copy');
    field.remove();
    return done;
  };
  document.addEventListener('click', async (event) => {
    const button = event.target.closest('button.copy');
    if (!button) return;
    const place = button.closest('[data-copy]');
    const commands = [...place.querySelectorAll('code')].map((each) => each.textContent).sort((a, b) => b.length - a.length);
    button.textContent = await copyText(commands[0] ?? place.querySelector('span').textContent) ? 'Copied' : 'Not copied';
    button.focus();
  });

  const main = document.getElementById('main');
  const place = document.getElementById('live');
  const parts = () => [...document.querySelectorAll('[data-live]')];
  if (!main || !place || !parts().length) return;

  const seconds = Number(main.dataset.every);
  const status = document.createElement('span');
  const button = document.createElement('button');
  let paused = false;
  button.type = 'button';
  button.addEventListener('click', () => { paused = !paused; showState(); if (!paused) refresh(); });
  place.removeAttribute('role'); // the text changes too rarely to be announced, and the button is not a status
  status.setAttribute('role', 'status');
  place.append(status, ' ', button);

  const show = (text) => { if (status.textContent !== text) status.textContent = text; };
  const showState = () => {
    show(paused ? 'Not updating.' : `every ${seconds} s`);
    place.classList.toggle('going', !paused);
    button.textContent = paused ? 'Resume' : 'Pause';
    button.setAttribute('aria-label', `${button.textContent} updates`);
  };

  const copyAttributes = (old, fresh) => {
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !(name === 'open' && old.localName === 'details')) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  };

  const update = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
    if (old.nodeType !== Node.ELEMENT_NODE) { old.data = fresh.data; return; }
    copyAttributes(old, fresh);
    updateChildren(old, fresh);
  };

  // Rows have a key. A moved row stays the same element, so that focus and open details stay with their target.
  const updateRows = (old, fresh) => {
    const known = new Map([...old.children].map((each) => [each.dataset.key, each]));
    let at = old.firstElementChild;
    for (const row of [...fresh.children]) {
      const same = known.get(row.dataset.key);
      if (same && same === at) at = at.nextElementSibling;
      else old.insertBefore(same ?? row, at);
      if (same) update(same, row);
    }
    while (at) { const next = at.nextElementSibling; at.remove(); at = next; }
  };

  const updateChildren = (old, fresh) => {
    if (fresh.firstElementChild?.dataset.key) return updateRows(old, fresh);
    const olds = [...old.childNodes];
    const news = [...fresh.childNodes];
    news.forEach((child, at) => (at < olds.length ? update(olds[at], child) : old.append(child)));
    olds.slice(news.length).forEach((each) => each.remove());
  };

  const inUse = () => {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && parts().some((part) => selection.containsNode(part, true));
  };

  const refresh = async () => {
    if (paused || document.hidden || inUse()) return;
    try {
      const answer = await fetch(location.href, { cache: 'no-store', signal: AbortSignal.timeout(LONGEST_MS) });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const focused = document.activeElement;
      for (const part of parts()) {
        const counterpart = fresh.getElementById(part.id);
        if (!counterpart) continue;
        const copy = document.importNode(counterpart, true);
        addLocalTimes(copy); // before the comparison, so that what did not change stays untouched
        update(part, copy);
      }
      if (focused && focused.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
      showState();
    } catch {
      show('The exporter does not respond. This page is out of date.');
      place.classList.remove('going');
    }
  };

  showState();
  setInterval(refresh, seconds * 1000);
  document.addEventListener('visibilitychange', refresh);
})();
