/** The client's side of a call that is answered with a stream. */
export interface AnswerStream<Answer> {
  /** Resolves when the client has room for more; rejects when it takes nothing any more. */
  write(answer: Answer): Promise<void>;
}
