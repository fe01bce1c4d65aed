/**
 * Downloads and compiles what several suites use, one after the other: two suites that did it at the same time would use
 * the processor twice, and Maven's repository from two processes. What is missing on this machine is left to the suites,
 * which say so.
 */
import { goExamples, goGrpcMissing, goMissing } from './go.ts';
import { apacheClassPath, examplesClassPath, javaMissing, programClassPath } from './java.ts';
import { pythonInterpreter, pythonMissing } from './python.ts';

if (javaMissing() === undefined) {
  for (const version of ['5.5.0', '4.9.8', '4.2.0'] as const) programClassPath('client', version);
  for (const program of ['store', 'admin', 'filter', 'reply'] as const) programClassPath(program, '5.5.0');
  apacheClassPath('4.9.7');
  apacheClassPath('proxy-5.5.0');
  programClassPath('grpc', 'grpc-5.0.8');
  examplesClassPath();
}
if (goMissing() === undefined) goExamples();
goGrpcMissing();
if (pythonMissing() === undefined) pythonInterpreter();
