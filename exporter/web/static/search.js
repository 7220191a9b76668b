// The search of the documentation's list of pages: adds its field, and lists the best places of an index that is built with the pages.
// `Documentation.search` has the same rules for the command line. Without this script, the list of pages is there.
(() => {
  'use strict';
  const MOST_WORDS = 12, MOST_FOUND = 8, MOST_OF_PAGE = 2;
  const add = (tag, to, properties = {}) => to.appendChild(Object.assign(document.createElement(tag), properties));
  const form = document.createElement('form');
  form.setAttribute('role', 'search');
  const label = add('label', form, { textContent: 'Search ' });
  const field = add('input', label, { type: 'search', name: 'q', maxLength: 200, value: new URLSearchParams(location.search).get('q') ?? '' });
  add('button', form, { textContent: 'Search' });
  const status = add('p', form, { className: 'quiet' });
  status.setAttribute('role', 'status');
  const list = document.createElement('ol');
  list.className = 'found';
  document.querySelector('article h1').after(form, list);

  const search = ({ stop, endings, places }, text) => {
    const given = text.toLowerCase().match(/[a-z0-9]{2,}/g) ?? [];
    const telling = given.filter((word) => !stop.includes(word));
    const words = [...new Set(telling.length ? telling : given)].slice(0, MOST_WORDS);
    const ending = `(?:${endings.join('|')})`;
    const all = places.map(([address, heading, names, weight, lines]) => (
      { address, heading, weight, texts: [heading, names, ...lines], score: 0, matched: 0, together: Array(lines.length + 2).fill(0), lines }));
    for (const word of words) {
      const stem = word.replace(new RegExp(`(?<=[a-z]{3})${ending}$`), '');
      const pattern = new RegExp(`(?<![a-z0-9])${stem}${ending}?(?![a-z0-9])`, 'i');
      const found = all.map((place) => place.texts.map((line) => Number(pattern.test(line))));
      const rarity = Math.log(1 + all.length / (1 + found.filter((each) => each.includes(1)).length));
      found.forEach(([heading, names, ...lines], at) => {
        const place = all[at];
        place.score += rarity * place.weight * (8 * heading + 4 * names + Math.min(2, lines.reduce((sum, one) => sum + one, 0)));
        place.matched += Number(found[at].includes(1));
        found[at].forEach((one, number) => { place.together[number] += one; });
      });
    }
    const ofPage = {}, seen = new Set();
    const rank = (place) => place.score * (place.matched + Math.max(...place.together));
    return all.filter(rank).sort((a, b) => rank(b) - rank(a)).filter(({ address }) => {
      const page = address.split('#')[0];
      if (seen.has(address) || ofPage[page] === MOST_OF_PAGE) return false;
      seen.add(address);
      ofPage[page] = (ofPage[page] ?? 0) + 1;
      return true;
    }).slice(0, MOST_FOUND).map((place) => {
      const [heading, , ...inLines] = place.together;
      const most = Math.max(0, ...inLines);
      return { ...place, line: place.lines[most > heading ? inLines.indexOf(most) : 0] ?? '' };
    });
  };

  let index;
  const show = async () => {
    const text = field.value.trim();
    list.replaceChildren();
    status.textContent = text ? 'Searching …' : '';
    if (!text) return;
    try {
      index ??= fetch('search.json').then((response) => (response.ok ? response.json() : Promise.reject(response)));
      const found = search(await index, text);
      if (text !== field.value.trim()) return; // other words since
      for (const { address, heading, line } of found) {
        const place = add('li', list);
        add('a', place, { href: address, textContent: heading });
        add('span', place, { className: 'quiet', textContent: ` ${address}` });
        add('div', place, { textContent: line.length > 160 ? `${line.slice(0, 160)} …` : line });
      }
      status.textContent = found.length ? `Found: ${found.length}, the best first.` : 'Nothing found. All pages are listed below.';
    } catch {
      index = undefined;
      status.textContent = 'The search does not answer. All pages are listed below.';
    }
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    history.replaceState(null, '', `?${new URLSearchParams({ q: field.value.trim() })}`);
    show();
  });
  if (field.value) show(); // an address with words, or a way back
})();
