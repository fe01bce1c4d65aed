import { javaClientSuite } from './java-client.ts';

javaClientSuite('4.9.8');
