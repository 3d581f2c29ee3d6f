// What the apps say to each other.

/** A page of the storefront; what the catalogue knows of a book is the same. */
export interface Book {
  readonly isbn: string;
  readonly title: string;
  readonly reviews: Reviews;
}

/** What is thought of a book. */
export interface Reviews {
  /** The version of the app that says so. */
  readonly version: string;
  readonly texts: readonly string[];
  /** 1 to 5: new in version 2. */
  readonly stars?: number;
}
