/** Sends to the VIP port, listenPort - 2, as Java clients before 4.5.1 do by default. */
import { javaClientSuite } from './java-client.ts';

javaClientSuite('4.2.0');
