// @ts-check
// The only file that knows the view library. Templates are tagged strings; what is put into
// them becomes text nodes and attributes, never markup.

import * as vendored from "./vendor/htm-preact.standalone.module.js";

const library = /** @type {any} */ (vendored);

/** @type {(strings: TemplateStringsArray, ...values: any[]) => any} */
export const html = library.html;
/** @type {(view: any, parent: Element) => void} */
export const render = library.render;
/** @type {<T>(initial: T | (() => T)) => [T, (next: T | ((previous: T) => T)) => void]} */
export const useState = library.useState;
/** @type {(effect: () => (void | (() => void)), inputs?: any[]) => void} */
export const useEffect = library.useEffect;
/** @type {(effect: () => (void | (() => void)), inputs?: any[]) => void} */
export const useLayoutEffect = library.useLayoutEffect;
/** @type {<T>(initial: T) => {current: T}} */
export const useRef = library.useRef;
/** @type {<T>(compute: () => T, inputs: any[]) => T} */
export const useMemo = library.useMemo;
