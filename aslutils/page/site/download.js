// Downloads the large files once, with progress, so that nothing is fetched while somebody signs.
import { ASSETS } from "./constants.js";

const TYPES = { wasm: "application/wasm", js: "text/javascript" };

/** URLs of the downloaded files by their path. `progress` is called with the share of bytes that are here. */
export async function download(progress) {
  const total = ASSETS.reduce((sum, [, bytes]) => sum + bytes, 0);
  let here = 0;
  const urls = {};
  await Promise.all(ASSETS.map(async ([path, bytes]) => {
    const answer = await fetch(path);
    if (!answer.ok) throw new Error(`${path} cannot be loaded (${answer.status} ${answer.statusText}); write the page again`);
    const parts = [];
    for (let reader = answer.body.getReader(), part; !(part = await reader.read()).done; ) {
      parts.push(part.value);
      here += part.value.length;
      progress(here / total);
    }
    if (parts.reduce((sum, part) => sum + part.length, 0) < bytes) throw new Error(`${path} is cut short; load the page again`);
    urls[path] = URL.createObjectURL(new Blob(parts, { type: TYPES[path.split(".").pop()] ?? "application/octet-stream" }));
  }));
  return urls;
}
