// `node --import`: the simulated disk says that it has made names durable, and has not. The store on it breaks its promise.
import { SimulatedFileSystem } from '@vernier/torture';

SimulatedFileSystem.prototype.syncDirectory = async () => {};
