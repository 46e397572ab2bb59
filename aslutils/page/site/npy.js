// A phrase's frames as a .npy file, which `python -m aslutils read` reads.

/** Frames (n Float32Arrays of the same length) as the bytes of a numpy file, float32 (n, length). */
export function npy(frames) {
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${frames.length}, ${frames[0].length}), }`;
  const text = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + "\n";
  const start = new Uint8Array([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, text.length & 255, text.length >> 8]);
  return new Blob([start, text, ...frames], { type: "application/octet-stream" });
}
