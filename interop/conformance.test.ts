import { chapters, config } from './conformance/chapters.ts';
import { conformanceRun } from './conformance-run.ts';
import { startBroker } from './peers/brokers.ts';
import { goMissing } from './peers/go.ts';
import { javaMissing } from './peers/java.ts';

conformanceRun({
  name: 'conformance with Apache RocketMQ 5.5.0',
  part: 'conformance',
  chapters,
  missing: javaMissing() ?? goMissing(),
  start: (kind) => startBroker('SYNC_FLUSH', config[kind], kind),
});
