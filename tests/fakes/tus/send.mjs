// Sends one file by tus-js-client: node send.mjs ENDPOINT TOKEN FILE URLS CHUNK PARALLEL [STOP]
// URLS is the file where it keeps the addresses of uploads that are under way. With STOP it ends, as by a crash, once so
// many bytes were accepted. Prints the id of the blob.
import { createReadStream, statSync } from "node:fs";
import * as tus from "tus-js-client";

const [endpoint, token, file, urls, chunk, parallel, stop] = process.argv.slice(2);
let blob = null;

const upload = new tus.Upload(createReadStream(file), {
  endpoint,
  uploadSize: parallel === "1" ? statSync(file).size : null, // of parts it finds out by itself
  chunkSize: Number(chunk),
  parallelUploads: Number(parallel),
  retryDelays: Array(60).fill(100),
  storeFingerprintForResuming: true,
  removeFingerprintOnSuccess: true,
  urlStorage: new tus.FileUrlStorage(urls),
  fingerprint: async () => `one-${file}`,
  metadata: { filename: "clip.bin", filetype: "video/mp4" },
  headers: { Authorization: `Bearer ${token}` },
  onAfterResponse: (_, response) => {
    blob = response.getHeader("Blob-Id") ?? blob;
  },
  onChunkComplete: (size, accepted) => {
    if (stop !== undefined && accepted >= Number(stop)) process.kill(process.pid, "SIGKILL");
  },
  onError: (error) => {
    console.error(String(error));
    process.exit(1);
  },
  onSuccess: () => {
    console.log(blob);
  },
});

const before = await upload.findPreviousUploads();
if (before.length > 0) upload.resumeFromPreviousUpload(before[0]);
upload.start();
