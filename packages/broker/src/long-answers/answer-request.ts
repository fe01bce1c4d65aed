import { createResponse, type ExtFields, type RemotingCommand, ResponseCode } from '@vernier/remoting';
import type { AnswerText } from './answer-text.ts';
import type { LongAnswers } from './long-answers.ts';

/** The answer SUCCESS with the text that `write` writes; undefined when the asker is gone. */
export async function answerLong(
  longAnswers: LongAnswers,
  request: RemotingCommand,
  isGone: () => boolean,
  write: (text: AnswerText) => Promise<void>,
  fields?: ExtFields,
): Promise<RemotingCommand | undefined> {
  const answer = await longAnswers.build(write, isGone);
  switch (answer.refused) {
    case undefined:
      return { ...createResponse(request, ResponseCode.SUCCESS, undefined, fields), bodyParts: answer.parts };
    case 'gone':
      return undefined;
    case 'busy':
      return createResponse(request, ResponseCode.SYSTEM_BUSY, 'too many long answers are asked for at once');
    case 'too-large':
      return createResponse(request, ResponseCode.SYSTEM_ERROR, 'the answer is larger than a frame may be');
  }
}
