// Downloads the large files once, with progress, so that nothing is fetched while somebody signs.
import { ASSETS } from "./constants.js";

const TYPES = { wasm: "application/wasm", js: "text/javascript" };

/** URLs of the downloaded files by their path. progress(share): called with the share of bytes that are here; wanted: some of ASSETS. */
export async function download(progress, wanted = ASSETS) {
  const total = wanted.reduce((sum, [, bytes]) => sum + bytes, 0);
  let here = 0;
  const urls = {};
  const others = new AbortController();
  const loading = wanted.map(async ([path, bytes]) => {
    const lost = () => {
      throw new Error(`${path} cannot be loaded: check the connection, and load the page again`);
    };
    const answer = await fetch(new URL(path, import.meta.url), { signal: others.signal }).catch(lost);
    if (!answer.ok) throw new Error(`${path} cannot be loaded (${answer.status} ${answer.statusText}); write the page again`);
    const parts = [];
    for (let reader = answer.body.getReader(), part; !(part = await reader.read().catch(lost)).done; ) {
      parts.push(part.value);
      here += part.value.length;
      progress(here / total);
    }
    if (parts.reduce((sum, part) => sum + part.length, 0) < bytes) throw new Error(`${path} is cut short; load the page again`);
    urls[path] = URL.createObjectURL(new Blob(parts, { type: TYPES[path.split(".").pop()] ?? "application/octet-stream" }));
  });
  await Promise.all(loading).finally(() => others.abort()); // one that fails ends the others
  return urls;
}
