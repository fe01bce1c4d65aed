import { javaClientSuite } from './java-client.ts';

javaClientSuite('5.5.0');
