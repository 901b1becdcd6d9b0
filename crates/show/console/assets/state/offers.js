// @ts-check
// What could be typed next: the node tells, and until it has told again, what it told before is
// narrowed by what was typed since.

/** @typedef {import("./types.js").Offer} Offer */
/** @typedef {import("./types.js").Offers} Offers */

/** Without the quote that begins it, in small letters. @param {string} text */
const plain = (text) => text.replace(/^["'`]/, "").toLowerCase();

/** Those that still fit, with the place that they would replace now. @param {Offers|null} told @param {string} text @param {number} caret @returns {Offer[]} */
export function fitting(told, text, caret) {
  if (!told) return [];
  if (told.text === text && told.caret === caret) return told.list;
  return told.list.flatMap((one) => {
    if (caret < one.from || text.slice(0, one.from) !== told.text.slice(0, one.from)) return [];
    const typed = text.slice(one.from, caret);
    return plain(one.text).startsWith(plain(typed)) && one.text !== typed ? [{ ...one, to: caret }] : [];
  });
}

/** The text with an offer taken, and where the caret stands then. A word of the language is
 * followed by a blank, a bar stands between two. @param {string} text @param {Offer} offer */
export function taken(text, offer) {
  const [before, after] = [text.slice(0, offer.from), text.slice(offer.to)];
  const wide = offer.text === "|" || ((offer.kind === "word" || offer.kind === "operator") && !/^[(),]/.test(offer.text));
  const word = `${offer.text === "|" && !/(^|\s)$/.test(before) ? " " : ""}${offer.text}${wide && !/^\s/.test(after) ? " " : ""}`;
  return { text: before + word + after, caret: before.length + word.length };
}
