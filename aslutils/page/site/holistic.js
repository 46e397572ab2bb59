// MediaPipe Holistic: face, body and hands in a picture. Its own script puts `Holistic` on the window.

export async function loadHolistic(assets) {
  const gl = document.createElement("canvas").getContext("webgl2");
  if (!gl)
    throw new Error("This browser gives no WebGL 2, which MediaPipe needs: use another one, or turn on its graphics acceleration.");
  const place = (file) => new URL(`vendor/holistic/${file}`, import.meta.url).href;
  await script(place("holistic.js"));
  const holistic = new window.Holistic({ locateFile: (file) => assets[`vendor/holistic/${file}`] ?? place(file) });
  const options = { modelComplexity: 0, smoothLandmarks: true, selfieMode: false };
  if (computedBySoftware(gl)) options.useCpuInference = true; // tests/benchmarks/browser.py: far faster there
  holistic.setOptions(options);
  let found = {};
  holistic.onResults((results) => (found = results));
  try {
    await holistic.initialize();
  } catch (error) {
    throw new Error(`MediaPipe cannot be loaded (${error?.message || error}): check the connection, and load the page again.`);
  }
  let start = 0; // of the recording, and its latest picture: whole milliseconds, as a thousandth can change what is found
  let latest = 0;
  let last = Promise.resolve();
  const next = (work) => (last = last.catch(() => {}).then(work)); // one picture at a time
  return {
    /** Landmarks in a picture that is not mirrored. time: when it was taken, milliseconds from its recording's beginning. */
    find: (picture, time) => next(async () => {
      latest = Math.max(start + Math.round(time), latest + 1); // MediaPipe's time goes on from recording to recording
      await at(latest, () => holistic.send({ image: picture }));
      return found;
    }),
    /** Forget the last picture: the next one is of another recording. */
    reset: () => next(() => {
      start = latest + 1000;
      holistic.reset();
    }),
  };
}

/** Do work that looks at the clock at once, as MediaPipe does, which smooths by the time between pictures: not how long each
 *  took here, but how long it was shown. */
function at(time, work) {
  performance.now = () => time;
  try {
    return work();
  } finally {
    delete performance.now; // what it was stands in its prototype
  }
}

/** Whether the processor computes what WebGL draws, as without a graphics card. */
function computedBySoftware(gl) {
  const told = gl.getExtension("WEBGL_debug_renderer_info");
  const renderer = gl.getParameter(told?.UNMASKED_RENDERER_WEBGL ?? gl.RENDERER);
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(renderer);
}

function script(source) {
  return new Promise((resolve, reject) => {
    const element = Object.assign(document.createElement("script"), { src: source, onload: resolve });
    element.onerror = () => reject(new Error(`${source} cannot be loaded; write the page again`));
    document.head.append(element);
  });
}
