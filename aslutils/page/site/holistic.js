// MediaPipe Holistic: face, body and hands in a picture. Its own script puts `Holistic` on the window.

export async function loadHolistic(assets) {
  if (!document.createElement("canvas").getContext("webgl2"))
    throw new Error("This browser gives no WebGL 2, which MediaPipe needs: use another one, or turn on its graphics acceleration.");
  const place = (file) => new URL(`vendor/holistic/${file}`, import.meta.url).href;
  await script(place("holistic.js"));
  const holistic = new window.Holistic({ locateFile: (file) => assets[`vendor/holistic/${file}`] ?? place(file) });
  holistic.setOptions({ modelComplexity: 0, smoothLandmarks: true, selfieMode: false });
  let found = {};
  holistic.onResults((results) => (found = results));
  await holistic.initialize();
  let last = Promise.resolve();
  const next = (work) => (last = last.catch(() => {}).then(work)); // one picture at a time
  return {
    /** Landmarks in a picture that is not mirrored. */
    find: (picture) => next(async () => {
      await holistic.send({ image: picture });
      return found;
    }),
    /** Forget the last picture: the next one is of another recording. */
    reset: () => next(() => holistic.reset()),
  };
}

function script(source) {
  return new Promise((resolve, reject) => {
    const element = Object.assign(document.createElement("script"), { src: source, onload: resolve });
    element.onerror = () => reject(new Error(`${source} cannot be loaded; write the page again`));
    document.head.append(element);
  });
}
