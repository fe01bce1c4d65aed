export { BrokerFront } from './broker-front.ts';
