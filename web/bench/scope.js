/** Runs a measurement and cleans up behind it, with the part of node:test's context that the helpers of the tests use. */
export async function withScope(measure) {
  const cleanups = [];
  const scope = { name: "bench", passed: true, after: (cleanup) => cleanups.push(cleanup) };
  try {
    return await measure(scope);
  } finally {
    for (const cleanup of cleanups.reverse()) await cleanup();
  }
}
