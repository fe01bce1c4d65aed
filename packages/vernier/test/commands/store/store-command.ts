import { type Finished, run } from '../../cli.ts';

export const json = ({ stdout }: Finished) => JSON.parse(stdout);
export const jsonLines = ({ stdout }: Finished) =>
  stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));

export const store = (command: string, root: string, ...args: string[]): Promise<Finished> =>
  run(['store', command, root, ...args]);
