/** Whether a media type promises JSON. */
export const isJsonType = (contentType: string) => /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(contentType);

/** Whether a media type promises text that is UTF-8 unless the bytes say otherwise. */
export const isTextType = (contentType: string) =>
  /^(?:text\/[\w.+-]+|application\/(?:[\w.+-]+\+)?xml)\s*(?:;|$)/i.test(contentType) &&
  !/;\s*charset=(?!"?utf-8)/i.test(contentType);

/** CloudEvents in JSON, one event and several. The SDKs know the former by exactly these letters. */
export const structuredType = "application/cloudevents+json; charset=utf-8";
export const batchedType = "application/cloudevents-batch+json; charset=utf-8";
export const isStructured = (contentType: string) => /^application\/cloudevents\+json\s*(?:;|$)/i.test(contentType);
export const isBatched = (contentType: string) => /^application\/cloudevents-batch\+json\s*(?:;|$)/i.test(contentType);
