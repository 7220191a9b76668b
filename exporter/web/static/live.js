// Keeps an open page as fresh as the exporter: fetches the page again and takes over what differs in the parts marked `data-live`.
// Not for: anything that a page needs. Without this script every page works; it only has to be loaded again.
(() => {
  'use strict';
  const LONGEST_MS = 8000;
  const main = document.getElementById('main');
  const place = document.getElementById('live');
  const parts = () => [...document.querySelectorAll('[data-live]')];
  if (!main || !place || !parts().length) return;

  const seconds = Number(main.dataset.every);
  const status = document.createElement('span');
  const button = document.createElement('button');
  let paused = false;
  button.type = 'button';
  button.addEventListener('click', () => { paused = !paused; tell(); if (!paused) refresh(); });
  place.removeAttribute('role'); // the words beside the button change too rarely to be read out, and the button is no message
  status.setAttribute('role', 'status');
  place.append(status, ' ', button);

  const say = (words) => { if (status.textContent !== words) status.textContent = words; };
  const tell = () => {
    say(paused ? 'Not updating.' : `Updates every ${seconds} s.`);
    button.textContent = paused ? 'Go on updating' : 'Stop updating';
  };

  const copyAttributes = (old, fresh) => {
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !(name === 'open' && old.localName === 'details')) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  };

  const takeOver = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
    if (old.nodeType !== Node.ELEMENT_NODE) { old.data = fresh.data; return; }
    copyAttributes(old, fresh);
    takeOverChildren(old, fresh);
  };

  // Rows carry a key: one that moves stays the same row, so that neither focus nor an opened detail ends up on another target.
  const takeOverRows = (old, fresh) => {
    const known = new Map([...old.children].map((each) => [each.dataset.key, each]));
    let at = old.firstElementChild;
    for (const row of [...fresh.children]) {
      const same = known.get(row.dataset.key);
      if (same && same === at) at = at.nextElementSibling;
      else old.insertBefore(same ?? row, at);
      if (same) takeOver(same, row);
    }
    while (at) { const next = at.nextElementSibling; at.remove(); at = next; }
  };

  const takeOverChildren = (old, fresh) => {
    if (fresh.firstElementChild?.dataset.key) return takeOverRows(old, fresh);
    const olds = [...old.childNodes];
    const news = [...fresh.childNodes];
    news.forEach((child, at) => (at < olds.length ? takeOver(olds[at], child) : old.append(child)));
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
        const twin = fresh.getElementById(part.id);
        if (twin) takeOver(part, document.importNode(twin, true));
      }
      if (focused && focused.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
      tell();
    } catch {
      say('The exporter does not answer: what you see is old.');
    }
  };

  tell();
  setInterval(refresh, seconds * 1000);
  document.addEventListener('visibilitychange', refresh);
})();
