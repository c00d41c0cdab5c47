// Stands for LiteRT's Interpreter: names and types that Segmenter.kt uses; nothing runs here.
package org.tensorflow.lite
import java.io.Closeable
import java.io.File
class Tensor { fun numBytes(): Int = TODO() }
class Interpreter(file: File, options: Options) : Closeable {
    class Options { fun setNumThreads(n: Int): Options = this }
    fun runSignature(inputs: Map<String, @JvmSuppressWildcards Any>, outputs: Map<String, @JvmSuppressWildcards Any>, signatureKey: String) { TODO() }
    fun getSignatureInputs(key: String): Array<String> = TODO()
    fun getSignatureOutputs(key: String): Array<String> = TODO()
    fun getOutputTensorFromSignature(name: String, key: String): Tensor = TODO()
    override fun close() {}
}
