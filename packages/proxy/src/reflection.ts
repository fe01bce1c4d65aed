import type { ReflectionRequest, ReflectionResponse } from './wire/services.ts';

/** Codes of gRPC. */
const NOT_FOUND = 5;
const UNIMPLEMENTED = 12;

interface DescribedFile {
  readonly name: string;
  readonly symbols: readonly string[];
  readonly dependencies: readonly string[];
  /** FileDescriptorProto, base64. */
  readonly bytes: string;
}

/**
 * What a server says of its services (grpc.reflection.v1), so that tools can call methods without .proto files. A file comes
 * with all that it depends on.
 */
export class Reflection {
  readonly #services: readonly string[];
  readonly #files: ReadonlyMap<string, DescribedFile>;
  readonly #fileOfSymbol = new Map<string, DescribedFile>();

  constructor(services: readonly string[], files: readonly DescribedFile[]) {
    this.#services = services;
    this.#files = new Map(files.map((file) => [file.name, file]));
    for (const file of files) for (const symbol of file.symbols) this.#fileOfSymbol.set(symbol, file);
  }

  answer(request: ReflectionRequest): ReflectionResponse {
    return { validHost: request.host ?? '', originalRequest: request, ...this.#answer(request) };
  }

  #answer(request: ReflectionRequest): ReflectionResponse {
    const { listServices, fileByFilename, fileContainingSymbol, fileContainingExtension } = request;
    if (isGiven(listServices)) {
      return { listServicesResponse: { service: this.#services.map((name) => ({ name })) } };
    }
    if (isGiven(fileByFilename)) return this.#fileAnswer(this.#files.get(fileByFilename), fileByFilename);
    if (isGiven(fileContainingSymbol)) {
      return this.#fileAnswer(this.#fileOfSymbol.get(fileContainingSymbol), fileContainingSymbol);
    }
    // Protocols of this version have no extensions.
    if (isGiven(fileContainingExtension)) return failed(NOT_FOUND, 'there are no extensions');
    const type = request.allExtensionNumbersOfType;
    if (isGiven(type)) {
      if (!this.#fileOfSymbol.has(type)) return failed(NOT_FOUND, `${type.slice(0, SHOWN_LENGTH)} is not known`);
      return { allExtensionNumbersResponse: { baseTypeName: type, extensionNumber: [] } };
    }
    return failed(UNIMPLEMENTED, 'the request asks for nothing that is known');
  }

  #fileAnswer(file: DescribedFile | undefined, wanted: string): ReflectionResponse {
    if (file === undefined) return failed(NOT_FOUND, `${wanted.slice(0, SHOWN_LENGTH)} is not known`);
    const found = new Set([file]);
    for (const { dependencies } of found) {
      for (const name of dependencies) {
        const other = this.#files.get(name);
        if (other !== undefined) found.add(other);
      }
    }
    const fileDescriptorProto = [...found].map(({ bytes }) => Buffer.from(bytes, 'base64'));
    return { fileDescriptorResponse: { fileDescriptorProto } };
  }
}

const SHOWN_LENGTH = 200;

const isGiven = <Value>(value: Value | null | undefined): value is Value => value !== null && value !== undefined;

const failed = (errorCode: number, errorMessage: string): ReflectionResponse => ({
  errorResponse: { errorCode, errorMessage },
});
