/**
 * Why a service did not do what it was asked: an outcome of the protocol and no error. Services return it in place of
 * their result, and each front says it in its own way.
 */
export class Refusal {
  /** ResponseCode. */
  readonly code: number;
  /** For people, with the numbers of the case. */
  readonly remark: string;

  constructor(code: number, remark: string) {
    this.code = code;
    this.remark = remark;
  }
}
