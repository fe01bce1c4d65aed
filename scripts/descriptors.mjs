// What gRPC reflection tells of the services of packages/proxy: a FileDescriptorProto of each .proto file, with the symbols
// that it declares. Called by scripts/messages.mjs.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/**
 * The files that are named and all that they import: `{ name, symbols, dependencies, bytes }` each, `bytes` in base64.
 * `pathOf` gives the path of a file by the name that it is imported by, undefined for one that the library has itself.
 */
export function descriptorsOf(names, pathOf) {
  // Here, because this file is read before anything is installed.
  const { Root, MapField } = require('protobufjs');
  const { FileDescriptorProto } = require('protobufjs/ext/descriptor');
  const nameByPath = new Map();
  const root = new Root();
  root.resolvePath = (_origin, target) => {
    const path = pathOf(target) ?? target;
    nameByPath.set(path, target);
    return path;
  };
  root.loadSync(names, { keepCase: true });
  root.resolveAll();
  // The library has protobuf's own types itself, each of which stands in a file of its name.
  const fileOf = ({ filename, name }) =>
    filename === null ? `google/protobuf/${name.toLowerCase()}.proto` : (nameByPath.get(filename) ?? filename);

  /** A type stands in the file of the outermost one around it. */
  const fileOfType = (type) => {
    let outermost = type;
    while (outermost.parent.filename) outermost = outermost.parent;
    return fileOf(outermost);
  };

  const files = new Map();
  const fileNamed = (name, made) => {
    if (!files.has(name)) {
      const file = FileDescriptorProto.create({ name, package: made.package, syntax: 'proto3' });
      files.set(name, { file, symbols: [], dependencies: new Set() });
    }
    return files.get(name);
  };

  /** References get their full names, and what they refer to is a dependency. */
  const linkType = (entry, type, descriptor) => {
    entry.symbols.push(type.fullName.slice(1));
    const refer = (field, target) => {
      field.typeName = target.fullName;
      entry.dependencies.add(fileOfType(target));
    };
    for (const field of descriptor.field ?? []) {
      const known = type.fieldsArray.find(({ id }) => id === field.number);
      if (known instanceof MapField) {
        const pair = descriptor.nestedType.find(({ name }) => name === field.typeName);
        if (known.resolvedType) refer(pair.field[1], known.resolvedType);
        field.typeName = `${type.fullName}.${field.typeName}`;
      } else if (known?.resolvedType) {
        refer(field, known.resolvedType);
      }
    }
    for (const nested of descriptor.nestedType ?? []) {
      const known = type.nested?.[nested.name];
      if (known !== undefined) linkType(entry, known, nested);
    }
    for (const nested of descriptor.enumType ?? []) entry.symbols.push(`${type.fullName.slice(1)}.${nested.name}`);
  };

  // The library makes a file of each package.
  for (const made of root.toDescriptor('proto3').file) {
    const lookup = (name) => root.lookup(`${made.package}.${name}`);
    for (const kind of ['messageType', 'enumType', 'service']) {
      for (const descriptor of made[kind] ?? []) {
        const object = lookup(descriptor.name);
        const entry = fileNamed(fileOf(object), made);
        entry.file[kind].push(descriptor);
        if (kind === 'messageType') linkType(entry, object, descriptor);
        else entry.symbols.push(object.fullName.slice(1));
        if (kind !== 'service') continue;
        for (const method of object.methodsArray) {
          entry.symbols.push(`${object.fullName.slice(1)}.${method.name}`);
          entry.dependencies.add(fileOfType(method.resolvedRequestType));
          entry.dependencies.add(fileOfType(method.resolvedResponseType));
        }
      }
    }
  }
  return [...files].map(([name, { file, symbols, dependencies }]) => {
    dependencies.delete(name);
    file.dependency = [...dependencies].sort();
    const bytes = Buffer.from(FileDescriptorProto.encode(file).finish()).toString('base64');
    return { name, symbols, dependencies: file.dependency, bytes };
  });
}
