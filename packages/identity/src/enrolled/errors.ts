import { IdentityError } from "../identity.js";

/**
 * Why an authority gave no certificate: it is `unreachable` (nothing was sent), `away` (it was asked, and nobody knows what became of it), or it
 * `refused`.
 */
export class AuthorityError extends IdentityError {
  readonly kind: "unreachable" | "away" | "refused";

  constructor(kind: AuthorityError["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
}
