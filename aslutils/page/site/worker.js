// The model, off the main thread. A classic worker, because LiteRT.js loads its own script with importScripts.
// Messages: {id, assets} loads it; {id, inputs} reads, and answers {id, tokens, probabilities, confidence, certainty, milliseconds}.

let model;
let Tensor;
let constants;

async function load(assets) {
  constants = await import("./constants.js");
  // It would look for a GPU, which this graph cannot use, and complain if there is none.
  Object.defineProperty(navigator, "gpu", { value: undefined });
  const litert = await import("./vendor/litert/index.js");
  const locateFile = (file) => assets[`vendor/litert/wasm/${file}`] ?? new URL(`vendor/litert/wasm/${file}`, self.location).href;
  self.Module = { locateFile, print: console.debug, printErr: console.debug };
  await litert.loadLiteRt(new URL("vendor/litert/wasm/", self.location).href);
  Tensor = litert.Tensor;
  model = await litert.loadAndCompile(assets[constants.MODEL], { accelerator: "wasm" });
  check(model);
}

/** Throw if the model is not one that this page can run. */
function check(model) {
  const { COLUMNS, FRAMES, MODEL, STEPS, VOCABULARY } = constants;
  const shape = (details, name) => [...(details.find((detail) => detail.name === name)?.shape ?? [])].join(" x ") || "nothing";
  const taken = shape(model.getInputDetails(), "inputs");
  const given = shape(model.getOutputDetails(), "outputs");
  if (taken !== `${FRAMES} x ${COLUMNS.length}`)
    throw new Error(`${MODEL} takes ${taken} numbers instead of ${FRAMES} x ${COLUMNS.length}: it is not an export of a fixed shape`);
  if (given !== `${STEPS} x ${VOCABULARY}`)
    throw new Error(`${MODEL} answers ${given} numbers instead of ${STEPS} x ${VOCABULARY}: it spells other characters`);
}

async function read(inputs) {
  const { COLUMNS, FRAMES, STEPS, VOCABULARY } = constants;
  const began = performance.now();
  const tensor = new Tensor(inputs, [FRAMES, COLUMNS.length]);
  let found = {};
  try {
    found = await model.run({ inputs: tensor });
    const scalar = (name) => found[name]?.data() ?? [NaN]; // an earlier export does not tell its certainty
    const [outputs, probabilities, [confidence], [certainty]] = await Promise.all(
      [found.outputs.data(), found.probabilities.data(), scalar("confidence"), scalar("certainty")]);
    const tokens = Array.from({ length: STEPS }, (_, step) => {
      const row = outputs.slice(step * VOCABULARY, (step + 1) * VOCABULARY);
      return row.indexOf(Math.max(...row));
    });
    return { tokens, probabilities: [...probabilities], confidence, certainty, milliseconds: performance.now() - began };
  } finally {
    [tensor, ...Object.values(found)].forEach((held) => held.delete());
  }
}

self.onmessage = async ({ data: { id, assets, inputs } }) => {
  try {
    postMessage({ id, ...(await (assets ? load(assets) : read(inputs))) });
  } catch (error) {
    postMessage({ id, error: error?.message ?? String(error) });
  }
};
