/** What restores photos: a server, or this browser. */

export interface Choices {
  /** Share of the estimated rain to remove, 0 to 1. */
  strength: number;
  /** Where to remove rain, as a grey PNG of the photo's size; white means fully. */
  mask?: Blob;
  /** The photo restored at full strength, if it is known already. */
  restored?: Blob;
}

/** What comes back. */
export interface Restored {
  file: Blob;
  /** What the file cannot keep of the photo; empty if nothing. */
  omissions: string;
}

export interface Backend {
  /** True if photos stay in this browser. */
  readonly isLocal: boolean;
  /**
   * Restore a photo at full size.
   *
   * `onProgress` gets the share of the upload, or of the tiles, 0 to 1. Throws `Failure`, or an `AbortError`.
   */
  restore(
    photo: File,
    choices: Choices,
    onProgress: (share: number) => void,
    signal: AbortSignal,
  ): Promise<Restored>;
}

/** Status of what restores photos if it gives none itself. */
export const UNREACHABLE = 503;

/** A failure with a sentence for the user. */
export class Failure extends Error {
  constructor(
    message: string,
    readonly status = 0,
    /** Seconds after which another try makes sense; 0 if none does. */
    readonly retryAfter = 0,
  ) {
    super(message);
  }

  /** True if the same photo may be restored later, or with a token. */
  get isPassing(): boolean {
    return [401, 408, 502, UNREACHABLE, 504].includes(this.status);
  }
}

export class ServerBackend implements Backend {
  readonly isLocal = false;
  token = "";

  restore(
    photo: File,
    choices: Choices,
    onProgress: (share: number) => void,
    signal: AbortSignal,
  ): Promise<Restored> {
    const form = new FormData();
    form.append("strength", String(choices.strength));
    form.append("photo", photo, "photo");
    if (choices.mask) form.append("mask", choices.mask, "mask");
    // fetch does not report the progress of an upload
    return new Promise((resolve, reject) => {
      signal.throwIfAborted(); // the photo may have been removed before its turn to be sent
      const request = new XMLHttpRequest();
      const abort = () => request.abort();
      request.open("POST", "v1/restore");
      request.responseType = "blob";
      if (this.token) request.setRequestHeader("Authorization", `Bearer ${latin1Of(this.token)}`);
      request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
      request.onload = async () => {
        if (request.status === 200) resolve(restoredOf(request));
        else reject(await failureOf(request));
      };
      request.onerror = () => reject(new Failure("The server cannot be reached.", UNREACHABLE));
      request.onabort = () => reject(new DOMException("aborted", "AbortError"));
      request.onloadend = () => signal.removeEventListener("abort", abort);
      signal.addEventListener("abort", abort);
      request.send(form);
    });
  }
}

/** Return a text as a header can hold it: its bytes in UTF-8, a letter each. */
function latin1Of(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

function restoredOf(request: XMLHttpRequest): Restored {
  const omissions = decodeURIComponent(request.getResponseHeader("X-Derain-Omissions") ?? "");
  return { file: request.response as Blob, omissions };
}

async function failureOf(request: XMLHttpRequest): Promise<Failure> {
  const after = Number(request.getResponseHeader("Retry-After") ?? 0);
  try {
    const problem = JSON.parse(await (request.response as Blob).text());
    return new Failure(String(problem.detail), request.status, after);
  } catch {
    return new Failure(`The server answered ${request.status}.`, request.status, after);
  }
}
